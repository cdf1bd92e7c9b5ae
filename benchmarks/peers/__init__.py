"""The servers that ours is compared with, each written as its own documentation has it."""

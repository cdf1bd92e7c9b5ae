"""The pipeline's file, run here step by step: the agent's rules, with stand-ins for its tasks."""

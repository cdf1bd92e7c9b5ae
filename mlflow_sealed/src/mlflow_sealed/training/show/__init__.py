"""What people look at: pictures, tables, the model card and the report."""

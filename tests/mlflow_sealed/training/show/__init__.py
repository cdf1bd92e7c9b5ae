"""What people look at, of the model of this project and of one of another kind."""

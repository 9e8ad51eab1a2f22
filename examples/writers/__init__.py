"""The formats of the example library's binary documents, one module for each kind."""

"""The ``stampede`` command. Every command is a module; they are loaded when they are asked for, so that help comes at once."""

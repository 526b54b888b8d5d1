"""PostgreSQL and Redis behind the ports; SQL lives here and nowhere else."""

"""What runs beside the libraries, in environments that have nothing of this project."""

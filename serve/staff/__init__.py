"""What staff do over HTTP: each operation takes a permission, and leaves a line in the trail."""

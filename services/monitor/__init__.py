"""The monitor role: HTTP views of what the other roles know."""

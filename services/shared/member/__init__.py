"""What every member of a fleet answers alike, whatever its role: who it is, and requests of the system account."""

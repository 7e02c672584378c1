"""natsfleet: the control plane. One package per role; `shared` holds the libraries they build on."""

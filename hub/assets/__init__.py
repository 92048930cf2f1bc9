"""The register: sites, spaces, gateways, devices and points."""

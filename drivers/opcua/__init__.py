"""OPC UA: servers whose nodes are named by namespace and identifier, and that say how good each value is."""

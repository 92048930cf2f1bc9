"""The tenant's pages: his own leases and invoices."""

"""The Sparkplug B host: what gateways send is stored once, judged, and acknowledged after the commit."""

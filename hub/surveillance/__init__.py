"""What is seen of people: zones, stills of cameras, badge events of doors."""

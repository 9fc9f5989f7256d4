"""Personal details in reports found by rule and replaced, ids hashed with a key."""

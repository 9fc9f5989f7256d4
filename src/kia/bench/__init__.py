"""What `kia bench` runs: how fast this machine trains, and how near that is to what it could."""

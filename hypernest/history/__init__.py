"""What outlives a moment of a machine: snapshots on disk, recordings, going back."""

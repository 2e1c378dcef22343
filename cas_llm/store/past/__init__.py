"""What git's history, its index and the trash know of recordings that a store no longer holds."""

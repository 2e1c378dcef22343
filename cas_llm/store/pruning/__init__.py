"""What nothing needs any more: `live` decides, `trees` knows the places, `sweep` takes it out."""

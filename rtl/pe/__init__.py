"""The processing elements of the broadcast array, one file a unit."""

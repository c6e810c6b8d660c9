"""Scripts/chaos: faults in a real cluster, and the exact comparison afterwards."""

"""Where is computed: device, precision, a fresh process."""

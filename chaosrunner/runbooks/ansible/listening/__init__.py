"""What Ansible is pointed at as a folder of callbacks."""

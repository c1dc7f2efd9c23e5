"""Drives as recordings (rosbag2, MCAP) that any ROS 2 tool plays; written without ROS."""

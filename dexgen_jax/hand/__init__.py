"""The hand: what it is made of, where its keypoints are, how to turn a pose into numbers."""

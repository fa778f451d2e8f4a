"""SynthScenes: synthetic acoustic scenes, made from a seed."""

"""What a process needs to start well: allocator, torchaudio, hardware, atomic writes."""

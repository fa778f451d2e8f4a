"""Process start-up and the machine: allocator, torchaudio, hardware, atomic writes."""

"""The paper's tables and figures reproduced: their rows, the runs these need, our results beside the paper's."""

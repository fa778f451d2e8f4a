"""The paper's tables again: the rows they ask for, the runs these need, and our figures beside the paper's."""

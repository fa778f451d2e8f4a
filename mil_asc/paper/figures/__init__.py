"""The paper's Figures 6 to 10, drawn from trained runs.

Every module draws one figure: ``draw(experiments, options)`` returns ``Drawing``. A figure that lacks runs
or recordings raises ``CannotDraw``.
"""

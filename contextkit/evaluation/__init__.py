"""Judging and tuning: judged questions, how much of their evidence packets hold, and what is fitted on them.

`questions.py` reads judged questions and harvests receipts, `metric.py` scores packets, `comparison.py` tells a difference from
noise, `signals.py` and `fit.py` refit the weights, `calibration.py` the confidence, `examples.py` and `finetune.py` train an
embedder, `tuning.py` decides what is adopted.
"""

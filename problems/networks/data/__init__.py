"""Labelled images in four disjoint parts: to train on, to search on, to choose on, to report on."""

"""The worlds that the miniatures are trained on; evaluations use the plainer one of `svd_lab.world`."""

"""From a feature matrix to components: scaling, scree, iterative NMF with many seeds."""

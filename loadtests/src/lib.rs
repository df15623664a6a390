//! Claim 4: the EKS side survives load, and autoscaling follows.

"""How a plan is carried out: the sampler, the life of each fault, stopping, recording. Only this package calls
plugins' methods during a run, and it trusts none of them: time limits and shape checks come from here."""

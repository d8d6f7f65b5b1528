"""The shop that the demo breaks: six small services, each a process of its own, that speak HTTP/1.1 to each other.

    shopper --> storefront --> recommendations      what else one might like
                     |-------> prices               the price list
                     '-------> checkout --> inventory   reserve the goods
                                   '------> payments    take the money

Each service calls the next one through a TCP link of the local platform, so a network fault on a link is a real one.
The shop has three weaknesses of the kind that real shops have, each marked WEAK where it is; `--fixed` repairs them:

1. checkout -> payments: the call has no timeout, so a slow or silent payments takes every worker of checkout.
   Repaired: a timeout, a circuit breaker, and orders that are taken now and paid later.
2. checkout -> inventory: what fails is tried again at once, five times, so a slow inventory gets five times the load.
   Repaired: more patience, and one try more after a pause, from a budget.
3. storefront -> recommendations: a nicety that the page cannot do without.
   Repaired: a short timeout, and the page without it.

And it has strengths, which the demo shows too: pages are served with the last known prices while prices is away, and
kept connections that died are replaced without the shopper noticing.

Programs of their own: standard library only, nothing of chaosrunner but this folder.
"""

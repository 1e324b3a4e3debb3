"""A made-up shop of which everything is known: NumPy alone, one module an idea.

`shape` says how large it is, `items`, `offers` and `users` what and who is in it, `visits` who comes when, `behaviour` what
they do, `ads` what they are shown, `disorder` what goes wrong on the way to the logs, `lines` how a log looks, `truth` what
the tables must hold in the end; `part` puts one file together, `size` finds how many users it takes. All that is drawn by
lot is drawn by `draws`, so that any part can be made alone.
"""

"""The drift diffusion model of `benchmarks.drift_diffusion` by HSSM, at its default sampler, two processes at a time.

They are spawned: a forked process may hang beside the threads of JAX, which HSSM imports.

    python ddm_hssm.py ROWS.csv

It prints seconds of sampling, the worst bulk ESS and R-hat over all variables, and divergences, as JSON.
"""

import json
import sys
import time

import arviz as az
import hssm
import numpy as np
import pandas as pd

if __name__ == "__main__":
    rows = pd.read_csv(sys.argv[1])
    rows = rows.assign(response=np.where(rows["response"] == 1, 1, -1), subject=rows["participant_id"].astype(str))
    model = hssm.HSSM(
        rows[["rt", "response", "conf", "subject"]],
        model="ddm",
        loglik_kind="analytical",
        p_outlier=0.05,
        include=[
            {"name": "v", "formula": "v ~ 1 + conf + (1 + conf|subject)"},
            {"name": "a", "formula": "a ~ 1 + (1|subject)"},
            {"name": "t", "formula": "t ~ 1 + (1|subject)"},
        ],
    )
    started = time.perf_counter()
    drawn = model.sample(draws=1000, tune=1000, chains=4, cores=2, mp_ctx="spawn", random_seed=1, progressbar=False)
    seconds = time.perf_counter() - started
    table = az.summary(drawn)
    found = {"sampling_s": seconds, "worst_ess": float(table["ess_bulk"].min())}
    found |= {"worst_rhat": float(table["r_hat"].max()), "divergences": int(drawn.sample_stats["diverging"].sum())}
    print(json.dumps(found))

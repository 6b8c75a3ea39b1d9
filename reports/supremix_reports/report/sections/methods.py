"""How the numbers of a report come about, in words that a paper's methods section can take."""

from __future__ import annotations

from typing import Final

from supremix_reports.document.parts import Listing, Paragraph, Section

CITATIONS: Final = (
    ("Berger 1982", "Multiparameter hypothesis testing and acceptance sampling. Technometrics 24, "
     "295–300."),
    ("Bland and Altman 1986", "Statistical methods for assessing agreement between two methods of "
     "clinical measurement. Lancet 327, 307–310."),
    ("Demšar 2006", "Statistical comparisons of classifiers over multiple data sets. Journal of "
     "Machine Learning Research 7, 1–30."),
    ("Field and Welsh 2007", "Bootstrapping clustered data. Journal of the Royal Statistical "
     "Society B 69, 369–390."),
    ("Friedman 1937", "The use of ranks to avoid the assumption of normality implicit in the "
     "analysis of variance. Journal of the American Statistical Association 32, 675–701."),
    ("Hesterberg 2015", "What teachers should know about the bootstrap. The American Statistician "
     "69, 371–386."),
    ("Holm 1979", "A simple sequentially rejective multiple test procedure. Scandinavian Journal "
     "of Statistics 6, 65–70."),
    ("Hutter et al. 2014", "An efficient approach for assessing hyperparameter importance. ICML."),
    ("Koenker and Bassett 1978", "Regression quantiles. Econometrica 46, 33–50."),
    ("Nemenyi 1963", "Distribution-free multiple comparisons. PhD thesis, Princeton University."),
    ("Satterthwaite 1946", "An approximate distribution of estimates of variance components. "
     "Biometrics Bulletin 2, 110–114."),
    ("Watanabe et al. 2023", "PED-ANOVA: efficiently quantifying hyperparameter importance in "
     "arbitrary subspaces. IJCAI."),
    ("Wilcoxon 1945", "Individual comparisons by ranking methods. Biometrics Bulletin 1, 80–83."),
    ("Zou and Donner 2008", "Construction of confidence limits about effect measures. Statistics "
     "in Medicine 27, 1693–1702."),
)  # fmt: skip


def methods_section(
    *, split: str, level: float, resamples: int, comparing: int, seed: int, reference: str | None
) -> Section:
    """Return the section that says how each interval and each test was computed."""
    entries = [
        (
            "Errors",
            f"Mean absolute error on {split} over all images, averaged over the seeds; so is every "
            "other measure: computed of each seed's predictions, then averaged. On test: "
            "the best hyperparameters by validation error, retrained on training and validation "
            "data, each seed's model measured once. On validation: the best hyperparameters, "
            "trained with new seeds where that was asked for; else the trial of least error, which "
            "is optimistically biased.",
        ),
        (
            "Intervals",
            f"{level:.0%}. Over patients: patients, not images, are drawn with replacement "
            f"({resamples} times, seed {seed}; Field and Welsh 2007), with quantiles widened for "
            "their number (Hesterberg 2015). Over seeds: the variance between the seeds' errors, "
            "less what patients explain, widened by Student's t for the number of seeds. The two "
            "are joined by their squares (Zou and Donner 2008). With one seed the interval tells "
            "what other patients would change, not what another seed would.",
        ),
    ]
    entries.append(
        (
            "Skill",
            "1 minus the error in units of that of the better null model for the same patients: 1 "
            "without error, 0 for a model that is worth no more than one without images. The null "
            "models are fitted to the same data as the model: the median of the labels and, where "
            "the dataset has covariates, the linear model of these with the least absolute error "
            "(Koenker and Bassett 1978). The interval is drawn like those of errors, the patients "
            "once for both. A model shows skill if it lies above 0.",
        )
    )
    if reference is not None:
        entries += _comparing(reference, level, comparing)
    entries += [
        (
            "Searches",
            "Importance of parameters by Optuna: fANOVA (Hutter et al. 2014) where scikit-learn is "
            "installed, PED-ANOVA (Watanabe et al. 2023). Each figure's caption says what it was "
            "computed from and which trials were left out.",
        ),
        (
            "Models",
            "Errors, R² and correlation have the intervals of the tables, over patients and seeds. "
            "Bias, its slope along the label and the limits of agreement (Bland and Altman 1986) "
            "are of all seeds' predictions together, and their intervals over patients alone: for "
            "these models, not over seeds. Each figure's caption says how it was computed.",
        ),
    ]
    citations = Section(key="citations", title="References", parts=(Listing(entries=CITATIONS),))
    text = "The same runs give the same report, but for its date."
    return Section(
        key="methods",
        title="How it was computed",
        parts=(Listing(entries=tuple(entries)), Paragraph(text=text)),
        sections=(citations,),
    )


def _comparing(reference: str, level: float, resamples: int) -> list[tuple[str, str]]:
    return [
        (
            "Differences",
            f"Of each method to {reference}, on the same images of the same patients, which are "
            f"drawn together for both ({resamples} times). Two tests have to agree: Wilcoxon's "
            "signed-rank test over patients' mean errors (Wilcoxon 1945), and the interval over "
            "patients and the seeds of both (degrees of freedom after Satterthwaite 1946); the "
            "larger p value counts (Berger 1982). It is corrected for all "
            f"comparisons of the table (Holm 1979), and up to {1 - level:.2g} it is significant. "
            "From one seed, from different samples, where a model predicts the same for all, or "
            "where the better of the two shows no skill, no verdict is given.",
        ),
        (
            "Gains",
            f"How much smaller the error is than that of {reference}, in percent. The average over "
            "datasets has an interval for these datasets with other patients and seeds; it says "
            "nothing about other datasets, and is not corrected for the number of methods. With "
            "one seed it is over patients alone, which is not enough for a claim.",
        ),
        (
            "Ranks",
            "Mean rank over datasets, 1 for the least error; Friedman's test (1937) and the "
            "critical difference of Nemenyi (1963), after Demšar (2006). They are made for ten "
            "datasets and more: of fewer, that no difference is significant says little. A dataset "
            "on which no method shows skill is left out, and from one seed there is no test.",
        ),
    ]

from mmcrowd.registry import MODELS

from .base_counter import BaseCounter


@MODELS.register_module()
class PointCounter(BaseCounter):
    """A counter that predicts a set of points, whose number is the count.

    By default those proposals of the head are accepted that are likely to be a person.

    Args:
        *args: See :class:`BaseCounter`.
        score_threshold: Short form of ``localizer=dict(type='ProposalThreshold',
            score_threshold=...)``. Defaults to None, the localizer's own.
        localizer: Config of the localizer. Defaults to
            :class:`~mmcrowd.models.localizers.ProposalThreshold`.
        count_from: See :class:`BaseCounter`. Defaults to ``'points'``.
        **kwargs: See :class:`BaseCounter`.

    Raises:
        ValueError: ``score_threshold`` is no probability, or is given together with a localizer.
    """

    def __init__(
        self,
        *args,
        score_threshold: float | None = None,
        localizer: dict | None = None,
        count_from: str = 'points',
        **kwargs,
    ):
        if localizer is None:
            localizer = dict(type='mmcrowd.ProposalThreshold')
            if score_threshold is not None:
                localizer['score_threshold'] = score_threshold
        elif score_threshold is not None:
            raise ValueError(
                f'score_threshold={score_threshold!r} is an argument of ProposalThreshold; with '
                f'localizer={localizer!r} it must be given there or not at all'
            )
        super().__init__(*args, localizer=localizer, count_from=count_from, **kwargs)

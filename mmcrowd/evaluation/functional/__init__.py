from .counting import (
    ATTRIBUTE_CLASSES,
    COUNT_CLASSES,
    class_members,
    class_name,
    count_errors,
    count_errors_by_attribute,
    count_errors_by_class,
    density_by_region,
    game,
    mean_over_classes,
    points_by_region,
)
from .density_quality import blurred_truth, density_quality
from .localization import (
    localization_scores,
    match_heads,
    match_points,
    match_points_at_radii,
)

__all__ = [
    'ATTRIBUTE_CLASSES',
    'COUNT_CLASSES',
    'blurred_truth',
    'class_members',
    'class_name',
    'count_errors',
    'count_errors_by_attribute',
    'count_errors_by_class',
    'density_by_region',
    'density_quality',
    'game',
    'localization_scores',
    'match_heads',
    'match_points',
    'match_points_at_radii',
    'mean_over_classes',
    'points_by_region',
]

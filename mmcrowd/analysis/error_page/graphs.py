"""Graphs of the error page, from plain numbers."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from mmcrowd.visualization.palette import BLUE, GREEN, HELP_LINE, INK, VERMILION

_HELP_LINE = dict(color=HELP_LINE, dash='dash', width=1)

# What the graphs know of an image: its number on the page, and as text its name and its true and
# predicted count.
Source = tuple[int, str, str, str]
_HOVER = '<b>%{customdata[1]}</b><br>true %{customdata[2]}<br>predicted %{customdata[3]}'


def to_html(figure: go.Figure) -> str:
    """The graph as a part of a page that has plotly.js already."""
    figure.update_layout(
        template='plotly_white',
        font=dict(family='system-ui, "DejaVu Sans", sans-serif', size=13, color=INK),
        margin=dict(l=10, r=10, t=36, b=10),
        hoverlabel_bgcolor='white',
        hovermode='closest',
        height=figure.layout.height or 380,
    )
    figure.update_xaxes(automargin=True, title_font_size=13)
    figure.update_yaxes(automargin=True, title_font_size=13, ticklabelstandoff=4)
    return figure.to_html(
        full_html=False,
        include_plotlyjs=False,
        default_height=figure.layout.height,
        config=dict(displaylogo=False, responsive=True),
    )


def count_scatter(pred: np.ndarray, gt: np.ndarray, sources: Sequence[Source]) -> go.Figure:
    """Predicted against true counts ``(n,)`` with buttons for the kind of axes.

    The axes start logarithmic where the largest true count is over ten times the median.
    """
    # Half a person stands for 0, which has no place on a logarithmic axis.
    settings = [_count_axes('log', 0.5, pred, gt)]
    settings.append(_count_axes('linear', min(0.0, pred.min()), pred, gt))
    positive = gt[gt > 0]
    wide = len(positive) > 0 and positive.max() > 10 * np.median(positive)
    active = 0 if wide else 1
    data, layout = settings[active]
    (diagonal, x), (_, y) = data['x'], data['y']
    figure = go.Figure(layout=layout)
    figure.add_scatter(x=diagonal, y=diagonal, mode='lines', line=_HELP_LINE, hoverinfo='skip')
    figure.add_scatter(
        x=x,
        y=y,
        mode='markers',
        marker=dict(color=BLUE, size=7, opacity=0.55),
        customdata=sources,
        hovertemplate=_HOVER + '<extra></extra>',
    )
    menu = dict(
        type='buttons',
        direction='right',
        active=active,
        buttons=[
            dict(label=label, method='update', args=list(setting))
            for label, setting in zip(('log', 'linear'), settings, strict=True)
        ],
    )
    place = dict(x=0, xanchor='left', y=1.02, yanchor='bottom', pad=dict(t=0, b=4))
    return figure.update_layout(showlegend=False, updatemenus=[menu | place])


def error_bars(
    names: Sequence[str],
    errors: Sequence[Mapping[str, float]],
    numbers: Sequence[int],
    axis: str,
) -> go.Figure:
    """MAE of groups of images, from top to bottom.

    Args:
        names: Names of the groups.
        errors: ``MAE`` and ``NAE`` of each.
        numbers: Number of images in each.
        axis: What the groups are.
    """
    mae = [error['MAE'] for error in errors]
    figure = go.Figure(
        go.Bar(
            x=mae,
            y=names,
            orientation='h',
            marker_color=BLUE,
            text=[f'{m:,.1f} · n={n:,}' for m, n in zip(mae, numbers, strict=True)],
            textposition='outside',
            constraintext='none',
            cliponaxis=False,
            customdata=[
                f', NAE {error["NAE"]:.3f}' if np.isfinite(error['NAE']) else '' for error in errors
            ],
            hovertemplate='%{y}: MAE %{x:,.2f}%{customdata}<extra></extra>',
        )
    )
    # Room for the texts beside the bars.
    figure.update_xaxes(title='MAE, persons', range=[0, 1.35 * max(*mae, 1e-9)])
    figure.update_yaxes(title=axis, type='category', autorange='reversed')
    return figure.update_layout(bargap=0.35, height=max(380, 24 * len(names) + 110))


def relative_boxes(
    percent: np.ndarray, groups: Mapping[str, np.ndarray], sources: Sequence[Source]
) -> tuple[go.Figure, int]:
    """Boxes of the relative error.

    Args:
        percent: ``(n,)`` errors in percent of the truth.
        groups: Name to the indices of the images.
        sources: What is known of the n images.

    Returns:
        The graph, and the number of images above its range.
    """
    figure = go.Figure()
    for name, members in groups.items():
        figure.add_box(
            y=percent[members],
            name=name,
            boxpoints='all' if len(members) <= 400 else 'outliers',
            jitter=0.5,
            pointpos=0,
            fillcolor='rgba(0,114,178,0.15)',
            line=dict(color=BLUE, width=1.5),
            marker=dict(size=5, opacity=0.45),
            customdata=[sources[i] for i in members],
            hoveron='points',
            hovertemplate=_HOVER + '<br>%{y:+.1f} %<extra></extra>',
        )
    figure.add_hline(y=0, line=_HELP_LINE)
    # A few sparse images counted many times over would flatten all else.
    high = max(30, 1.15 * np.quantile(percent, 0.975))
    figure.update_xaxes(title='true count', type='category')
    figure.update_yaxes(title='relative error, %', range=[min(-30, 1.1 * percent.min()), high])
    return figure.update_layout(showlegend=False), int((percent > high).sum())


def radius_curves(
    radii: Sequence[float], scores: Sequence[Mapping[str, float]], at: float | None
) -> go.Figure:
    """Precision, recall and F1 (``P``, ``R``, ``F1``) by radius in pixels; a line is ``at`` one."""
    figure = go.Figure()
    for key, name, color, dash, symbol in (
        ('P', 'precision', VERMILION, 'dash', 'square'),
        ('R', 'recall', BLUE, 'dot', 'circle'),
        ('F1', 'F1', INK, 'solid', 'diamond'),
    ):
        figure.add_scatter(
            x=list(radii),
            y=[score[key] for score in scores],
            name=name,
            mode='lines+markers',
            line=dict(color=color, dash=dash),
            marker=dict(symbol=symbol, size=7),
            hovertemplate=f'{name} %{{y:.4f}} at %{{x}} px<extra></extra>',
        )
    if at is not None and radii[0] <= at <= radii[-1]:
        figure.add_vline(x=at, line=_HELP_LINE)
    figure.update_xaxes(
        title='radius, px', type='log', tickvals=list(radii), ticktext=[f'{r:g}' for r in radii]
    )
    figure.update_yaxes(range=[-0.02, 1.02])
    return figure.update_layout(legend=dict(orientation='h', x=0, y=1.02, yanchor='bottom'))


def recall_bars(index: np.ndarray, found: np.ndarray, names: Sequence[str], axis: str) -> go.Figure:
    """Recall of the points of each class that holds any.

    Args:
        index: ``(m,)`` class of each true point.
        found: ``(m,)`` bool.
        names: Names of the classes.
        axis: What the classes are.
    """
    total = np.bincount(index, minlength=len(names))
    used = np.flatnonzero(total)
    recall = np.bincount(index, weights=found, minlength=len(names))[used] / total[used]
    figure = go.Figure(
        go.Bar(
            x=[names[i] for i in used],
            y=recall,
            marker_color=GREEN,
            text=[f'{r:.3f}<br>n={total[i]:,}' for r, i in zip(recall, used, strict=True)],
            textposition='outside',
            constraintext='none',
            cliponaxis=False,
            hovertemplate='%{x}: recall %{y:.4f}<extra></extra>',
        )
    )
    figure.update_xaxes(title=axis, type='category')
    figure.update_yaxes(title='recall', range=[0, 1.15], tickvals=np.arange(6) / 5)
    return figure.update_layout(bargap=0.35)


def _count_axes(kind: str, low: float, pred: np.ndarray, gt: np.ndarray) -> tuple[dict, dict]:
    """Data and layout of the scatter graph; lower counts are drawn at ``low``."""
    top = 1.05 * max(pred.max(), gt.max(), 1)
    note = f' (below {low} drawn at {low})' if min(pred.min(), gt.min()) < low else ''
    data = {
        axis: [[low, top], np.maximum(counts, low).tolist()]
        for axis, counts in (('x', gt), ('y', pred))
    }
    layout = {
        'xaxis.type': kind,
        'yaxis.type': kind,
        'xaxis.autorange': True,
        'yaxis.autorange': True,
        # Powers of ten only; the digits between them crowd the axis.
        'xaxis.dtick': 1 if kind == 'log' else None,
        'yaxis.dtick': 1 if kind == 'log' else None,
        'xaxis.title.text': f'true count{note}',
        'yaxis.title.text': 'predicted count',
    }
    return data, layout

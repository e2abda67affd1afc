"""The data loaders of a config."""

from mmengine.config import Config, ConfigDict

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def set_data_root(cfg: Config, data_root: str) -> None:
    """Let all datasets of a config read one folder, in place.

    Datasets inside wrappers (repeat, concatenate) get it too; those that take no ``data_root`` in
    the config, such as drawn ones, do not.

    Raises:
        ValueError: If there is no dataset with a ``data_root``.
    """
    found = [_set(loader.dataset, data_root) for key in LOADERS if (loader := cfg.get(key))]
    if not any(found):
        raise ValueError(f'data_root={data_root!r}: no dataset of {cfg.filename} takes one')


def _set(dataset: ConfigDict, data_root: str) -> bool:
    found = 'data_root' in dataset
    if found:
        dataset.data_root = data_root
    inner = [dataset[key] for key in ('dataset',) if key in dataset] + dataset.get('datasets', [])
    return any([found, *[_set(each, data_root) for each in inner]])


def require_batch(loader: ConfigDict, num_images: int, num_processes: int = 1) -> None:
    """Make sure that every process of a training has a batch in an epoch.

    Only where ``DefaultSampler`` divides the images: another sampler may repeat them.

    Args:
        loader: ``train_dataloader`` of the config.
        num_images: Length of its dataset.
        num_processes: Number of processes. Default 1.

    Raises:
        ValueError: If the images of a process do not fill one batch and ``drop_last`` drops it.
    """
    batch_size = loader.get('batch_size', 1)
    share = -(-num_images // num_processes)
    is_divided = loader.get('sampler', {}).get('type') == 'DefaultSampler'
    if is_divided and loader.get('drop_last') and share < batch_size:
        raise ValueError(
            f'train_dataloader.batch_size={batch_size} with drop_last leaves no batch of the '
            f'{share} training images of a process; expected at most {share}'
        )

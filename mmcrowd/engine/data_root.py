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

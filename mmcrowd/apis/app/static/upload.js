const drop = find('.drop');
const input = find('input');
const camera = find('.camera');
const video = find('video');
const megabytes = (bytes) => `${+(bytes / 1e6).toPrecision(3)} MB`;

let refused = []; // by the page itself, before anything is sent

function showErrors(errors) {
  find('.errors').replaceChildren(...errors.map((text) => make('li', {}, text)));
}

function showBusy(text) {
  find('.busy').hidden = !text;
  find('.busy span').textContent = text;
  document.body.classList.toggle('is-counting', Boolean(text));
}

follow((value) => {
  find('.limits').textContent =
    `JPEG, PNG, TIFF, WebP${value.heic ? ', HEIC' : ''}; up to ${megabytes(value.file_bytes)}, ` +
    `${value.pixels / 1e6} megapixels, ${value.pictures} pictures. ` +
    `Kept for ${Math.round(value.seconds / 60)} minutes at most.`;
  input.accept = `image/*,.tif,.tiff${value.heic ? ',.heic,.heif' : ''}`;
  showBusy(value.busy);
  showErrors([...refused, ...value.errors]);
});

function whyNot(file) {
  if (file.size > props.value.file_bytes) {
    return `${file.name}: ${megabytes(file.size)}, expected at most ${megabytes(props.value.file_bytes)}`;
  }
  if (file.size === 0) return `${file.name}: the file is empty`;
  if (file.type && !file.type.startsWith('image/')) {
    return `${file.name}: ${file.type}, expected a picture`;
  }
  return '';
}

async function send(files) {
  refused = [];
  const sent = [];
  showErrors([]);
  for (const file of files) {
    const reason = whyNot(file);
    if (reason) {
      refused.push(reason);
      continue;
    }
    showBusy(`Reading ${file.name}`);
    try {
      sent.push({ file: (await upload(file)).path, name: file.name });
    } catch (error) {
      refused.push(`${file.name}: it did not arrive (${error.message ?? error})`);
    }
  }
  showErrors(refused);
  if (sent.length) trigger('picked', { files: sent });
  else showBusy('');
}

input.addEventListener('change', () => {
  send([...input.files]);
  input.value = '';
});
for (const name of ['dragenter', 'dragover']) {
  drop.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add('over'); });
}
drop.addEventListener('dragleave', () => drop.classList.remove('over'));
drop.addEventListener('drop', (event) => {
  event.preventDefault();
  drop.classList.remove('over');
  send([...event.dataTransfer.files]);
});
document.addEventListener('paste', (event) => {
  const files = [...(event.clipboardData?.files ?? [])];
  if (files.length) send(files);
});

let stream = null;

function closeCamera() {
  stream?.getTracks().forEach((track) => track.stop());
  stream = null;
  camera.hidden = true;
  find('.open-camera').hidden = false;
}

find('.open-camera').addEventListener('click', async () => {
  try {
    stream = await navigator.mediaDevices.getUserMedia({
      video: { width: { ideal: 1920 }, facingMode: 'environment' },
    });
  } catch (error) {
    showErrors([`The camera cannot be used: ${error.message ?? error}`]);
    return;
  }
  video.srcObject = stream;
  await video.play();
  camera.hidden = false;
  find('.open-camera').hidden = true;
});
find('.close').addEventListener('click', closeCamera);
find('.shoot').addEventListener('click', () => {
  const canvas = make('canvas', { width: video.videoWidth, height: video.videoHeight });
  canvas.getContext('2d').drawImage(video, 0, 0);
  const time = new Date().toTimeString().slice(0, 8).replaceAll(':', '');
  canvas.toBlob(
    (blob) => send([new File([blob], `camera_${time}.jpg`, { type: 'image/jpeg' })]),
    'image/jpeg',
    0.95,
  );
  closeCamera();
});

// Starts the page.
import { mount } from 'svelte';
import App from './App.svelte';
import { settleIsolation } from './host/isolation';
import { registerWorker } from './host/register_worker';
import { loadDictionary } from './i18n/dictionary';
import './styles/base.css';
import './styles/panels.css';
import './styles/print.css';
import './styles/forced_colours.css';
import { parseHash } from './url/hash_state';
import { firstLanguage } from './views/preferences.svelte';
import { keepTextChangeable } from './views/translated_text';

// Tokens come with the first answer; their font should be loaded by then, so it is requested now.
void document.fonts.load('13px "Plex Mono"');

const target = document.getElementById('app');
if (target === null) throw new Error('index.html has no #app');
keepTextChangeable(target);
const isolated = settleIsolation(registerWorker(import.meta.url));
const { language, embed } = parseHash(location.hash);
const texts = await loadDictionary(firstLanguage(language, embed));
// The element's initial content is the message for a page whose scripts did not load.
target.replaceChildren();
export default mount(App, { target, props: { texts, isolated } });

// Sends the one form of a page on as soon as the page is there; without script there is its button.
document.querySelector("form[data-onward]")?.requestSubmit();

// Finding operations, and copying examples: the pages are whole without it.
"use strict";

const nav = document.querySelector("nav");
const box = nav.querySelector(".search");
const input = box.querySelector("input");
const found = box.querySelector("output");
const links = [...nav.querySelectorAll("a[data-find]")];

function find() {
  const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const link of links) {
    const text = link.dataset.find.toLowerCase();
    const hit = words.every((word) => text.includes(word));
    link.parentElement.hidden = !hit;
    count += hit;
  }
  for (const section of nav.querySelectorAll("section")) {
    section.hidden = !section.querySelector("li:not([hidden])");
  }
  found.textContent = words.length ? `${count} found` : "";
}

box.hidden = false;
input.addEventListener("input", find);
input.addEventListener("keydown", (event) => {
  const first = links.find((link) => !link.parentElement.hidden);
  if (event.key === "Enter" && first && input.value) {
    first.click();
  } else if (event.key === "Escape") {
    input.value = "";
    find();
  }
});
document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("input, textarea, select, [contenteditable]");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    nav.querySelector("details").open = true;
    input.focus();
  }
});

const narrow = window.matchMedia("(max-width: 60rem)");
const contents = nav.querySelector("details");
function fit() {
  contents.open = !narrow.matches;
}
narrow.addEventListener("change", fit);
fit();
nav.addEventListener("click", (event) => {
  if (event.target.closest("a") && narrow.matches) {
    contents.open = false;
  }
});

if (navigator.clipboard) {
  for (const block of document.querySelectorAll(".code")) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(block.querySelector("code").textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
    block.append(button);
  }
}

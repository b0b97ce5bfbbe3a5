"""Pieces of the screens: each draws one thing with Streamlit, from views; none decides or stores anything."""
